SELECT f.id, f.time_hour, f.carrier, f.flight, a.name, p.model, w.visib, f.profile <-> $2 AS distance
FROM flights f JOIN airports a ON a.faa = f.dest JOIN planes p USING (tailnum)
     JOIN weather w ON w.origin = f.origin AND w.time_hour = f.time_hour
WHERE f.dest IN (SELECT g.faa FROM GRAPH_TABLE (rotations
         MATCH (x IS airport WHERE x.faa = $1)<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport)
         COLUMNS (y.faa AS faa)) AS g)
  AND p.manufacturer = $3 AND (w.visib < 3 OR w.precip > 0.1 OR w.wind_speed > 25) AND f.profile IS NOT NULL
ORDER BY f.profile <-> $2, f.id LIMIT 10;
