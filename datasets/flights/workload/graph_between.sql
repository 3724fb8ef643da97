SELECT g.tailnum, g.model, count(*) AS walks
FROM GRAPH_TABLE (rotations
       MATCH (x IS airport WHERE x.faa = $1)<-[IS flew]-(t IS plane)-[IS flew]->(y IS airport WHERE y.faa = $2)
       COLUMNS (t.tailnum AS tailnum, t.model AS model)) AS g
GROUP BY g.tailnum, g.model
ORDER BY walks DESC, g.tailnum
LIMIT 10;
