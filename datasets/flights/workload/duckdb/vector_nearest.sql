SELECT id, carrier, flight, dest, array_distance(profile, $1::FLOAT[12]::DOUBLE[12]) AS distance
FROM flights
ORDER BY distance, id
LIMIT 10;
