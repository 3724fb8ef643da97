SELECT id, flight, time_hour, array_distance(profile, $1::FLOAT[12]::DOUBLE[12]) AS distance
FROM flights
WHERE carrier = $2 AND dest = $3 AND profile IS NOT NULL
ORDER BY distance, id
LIMIT 10;
