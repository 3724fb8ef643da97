SELECT hour, count(*) AS flights, count(dep_delay) AS departed, sum(dep_delay) AS delay_minutes, max(dep_delay) AS delay_max
FROM flights
WHERE carrier = $1 AND month = $2
GROUP BY hour
ORDER BY hour;
