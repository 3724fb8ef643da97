-- Which aircraft served which airport, as a graph over the tables: nothing is copied. An edge is a flight, from its
-- plane to its destination; the 58,799 flights that lack one or the other in the data are no edges (277,977 are).

CREATE PROPERTY GRAPH rotations
    VERTEX TABLES (
        airports KEY (faa)
            LABEL airport PROPERTIES (faa, name, lat, lon, alt, tz, dst, tzone),
        planes KEY (tailnum)
            LABEL plane PROPERTIES (tailnum, year, type, manufacturer, model, engines, seats, speed, engine)
    )
    EDGE TABLES (
        flights KEY (id)
            SOURCE KEY (tailnum) REFERENCES planes (tailnum)
            DESTINATION KEY (dest) REFERENCES airports (faa)
            LABEL flew PROPERTIES (id, carrier, flight, origin, dest, time_hour, dep_delay, arr_delay, distance)
    );
