SELECT id, time_hour, carrier, flight, dest, dep_delay
FROM flights
WHERE origin = $1 AND time_hour >= $2 AND time_hour < $3
ORDER BY time_hour, id;
