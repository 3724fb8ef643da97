SELECT id, carrier, flight, dest, profile <-> $1 AS distance
FROM flights
ORDER BY profile <-> $1, id
LIMIT 10;
