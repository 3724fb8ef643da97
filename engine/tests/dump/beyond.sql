-- What PostgreSQL 15 has not, or not without an extension.
CREATE TABLE public.people (id int PRIMARY KEY, name text, place vector(2), doc json);
CREATE TABLE public.knows (id int PRIMARY KEY, one int NOT NULL, other int NOT NULL, since date);
CREATE INDEX people_place ON public.people USING hnsw (place vector_cosine_ops) WITH (m = 8, ef_construction = 40);
CREATE PROPERTY GRAPH public.friends
    VERTEX TABLES (people LABEL person PROPERTIES (name, id AS number))
    EDGE TABLES (
        knows SOURCE KEY (one) REFERENCES people (id) DESTINATION KEY (other) REFERENCES people (id)
            LABEL knows NO PROPERTIES,
        knows AS known KEY (id) SOURCE KEY (other) REFERENCES people (id) DESTINATION KEY (one) REFERENCES people (id)
    );
INSERT INTO public.people VALUES (1, 'Ann', '[1,0]', '{"a": [1, 2]}'), (2, 'Bob', '[0,1]', NULL), (3, 'Cid', NULL, 'null');
INSERT INTO public.knows VALUES (1, 1, 2, '2020-01-01'), (2, 2, 3, NULL);
CREATE VIEW public.acquainted AS
    SELECT * FROM GRAPH_TABLE (friends MATCH (a IS person)-[IS knows]->(b IS person) COLUMNS (a.name AS who, b.name AS whom));
-- The view was made before this column: it stays what it was.
ALTER TABLE public.keyless ADD COLUMN c int DEFAULT 7;
