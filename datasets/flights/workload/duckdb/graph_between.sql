SELECT t.tailnum, t.model, count(*) AS walks
FROM flights fx
JOIN planes t ON t.tailnum = fx.tailnum
JOIN flights fy ON fy.tailnum = t.tailnum
WHERE fx.dest = $1 AND fy.dest = $2
  AND EXISTS (SELECT 1 FROM airports x WHERE x.faa = $1) AND EXISTS (SELECT 1 FROM airports y WHERE y.faa = $2)
GROUP BY t.tailnum, t.model
ORDER BY walks DESC, t.tailnum
LIMIT 10;
