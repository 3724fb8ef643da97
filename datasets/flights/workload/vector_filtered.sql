SELECT id, flight, time_hour, profile <-> $1 AS distance
FROM flights
WHERE carrier = $2 AND dest = $3 AND profile IS NOT NULL
ORDER BY profile <-> $1, id
LIMIT 10;
