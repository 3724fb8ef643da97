SELECT f.id, f.time_hour, l.name AS airline, a.name AS destination, p.model, w.visib, w.wind_speed, f.arr_delay
FROM flights f
JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
JOIN planes p ON p.tailnum = f.tailnum
JOIN airlines l ON l.carrier = f.carrier
JOIN airports a ON a.faa = f.dest
WHERE p.manufacturer = $1 AND f.month = $2 AND w.visib < $3 AND f.arr_delay > $4
ORDER BY f.id;
