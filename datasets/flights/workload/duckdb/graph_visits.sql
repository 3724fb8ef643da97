SELECT a.faa, a.name, count(*) AS visits, max(f.arr_delay) AS delay_max
FROM planes t
JOIN flights f ON f.tailnum = t.tailnum
JOIN airports a ON a.faa = f.dest
WHERE t.tailnum = $1
GROUP BY a.faa, a.name
ORDER BY visits DESC, a.faa;
