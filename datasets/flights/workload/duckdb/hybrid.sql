SELECT f.id, f.time_hour, f.carrier, f.flight, a.name, p.model, w.visib,
       array_distance(f.profile, $2::FLOAT[12]::DOUBLE[12]) AS distance
FROM flights f JOIN airports a ON a.faa = f.dest JOIN planes p USING (tailnum)
     JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE f.dest IN (SELECT fy.dest FROM flights fy WHERE fy.tailnum IN (
        SELECT t.tailnum FROM planes t JOIN flights fx ON fx.tailnum = t.tailnum JOIN airports x ON x.faa = fx.dest
        WHERE x.faa = $1))
  AND p.manufacturer = $3 AND (w.visib < 3 OR w.precip > 0.1 OR w.wind_speed > 25) AND f.profile IS NOT NULL
ORDER BY distance, f.id LIMIT 10;
