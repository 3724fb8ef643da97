SELECT a.faa, a.name
FROM airports a
WHERE a.faa IN (SELECT g.faa FROM GRAPH_TABLE (rotations
         MATCH (x IS airport WHERE x.faa = $1)<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport)
         COLUMNS (y.faa AS faa)) AS g)
ORDER BY a.faa;
