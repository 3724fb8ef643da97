SELECT f.id, f.time_hour, l.name AS airline, f.flight, f.origin, a.name AS destination, p.model, f.arr_delay
FROM planes p
JOIN flights f ON f.tailnum = p.tailnum
JOIN airlines l ON l.carrier = f.carrier
LEFT JOIN airports a ON a.faa = f.dest
WHERE p.tailnum = $1
ORDER BY f.time_hour, f.id;
