-- The indexes that a good DBA would make for the workload, beside the primary keys. Run ANALYZE afterwards.

-- An aircraft's flights: joins with planes, and the edges of the graph from the plane's side.
CREATE INDEX flights_tailnum ON flights (tailnum, dest);

-- The latest arrivals at an airport in order; and the edges from the airport's side, for which the aircraft stands in it as well.
CREATE INDEX flights_dest ON flights (dest, arr_delay, tailnum);

-- Departures of an origin by time, and the flights of an hour of weather.
CREATE INDEX flights_origin ON flights (origin, time_hour);

-- A carrier's flights in a month.
CREATE INDEX flights_carrier ON flights (carrier, month);

-- The aircraft of a maker.
CREATE INDEX planes_manufacturer ON planes (manufacturer);

-- The flights most like a given one.
CREATE INDEX flights_profile ON flights USING hnsw (profile vector_l2_ops);
