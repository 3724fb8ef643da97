SELECT g.faa, g.name, count(*) AS visits, max(g.arr_delay) AS delay_max
FROM GRAPH_TABLE (rotations
       MATCH (t IS plane WHERE t.tailnum = $1)-[e IS flew]->(y IS airport)
       COLUMNS (y.faa AS faa, y.name AS name, e.arr_delay AS arr_delay)) AS g
GROUP BY g.faa, g.name
ORDER BY visits DESC, g.faa;
