SELECT id, time_hour, carrier, flight, tailnum, origin, dest, dep_delay, arr_delay
FROM flights
WHERE id = $1;
