SELECT id, time_hour, carrier, flight, origin, arr_delay
FROM flights
WHERE dest = $1 AND arr_delay IS NOT NULL
ORDER BY arr_delay DESC, id
LIMIT 10;
