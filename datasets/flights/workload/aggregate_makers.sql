SELECT p.manufacturer, count(*) AS flights, count(DISTINCT f.tailnum) AS planes, sum(f.arr_delay) AS delay_minutes
FROM flights f
JOIN planes p ON p.tailnum = f.tailnum
WHERE f.dest = $1
GROUP BY p.manufacturer
ORDER BY flights DESC, p.manufacturer;
