SELECT a.faa, a.name
FROM airports a
WHERE a.faa IN (SELECT fy.dest FROM flights fy WHERE fy.tailnum IN (
        SELECT t.tailnum FROM planes t JOIN flights fx ON fx.tailnum = t.tailnum JOIN airports x ON x.faa = fx.dest
        WHERE x.faa = $1))
ORDER BY a.faa;
