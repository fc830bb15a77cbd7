-- The arithmetic of all definitions: IEEE doubles, quantised once; integers from there on. Times are microseconds.

-- Millionths of a measure, rounding half away from zero.
CREATE OR REPLACE MACRO q(x) AS CAST(round(x * 1e6::DOUBLE) AS BIGINT);

-- The mean of n quantised values: one division.
CREATE OR REPLACE MACRO mean_of(total, n) AS CASE WHEN n > 0 THEN total::DOUBLE / (n::DOUBLE * 1e6::DOUBLE) END;

-- Haversine: `a` of two positions in radians, then millimetres of two positions in degrees.
CREATE OR REPLACE MACRO sin2(x) AS sin(x) * sin(x);
CREATE OR REPLACE MACRO haversine_a(phi1, lambda1, phi2, lambda2) AS
  sin2((phi2 - phi1) / 2::DOUBLE) + cos(phi1) * cos(phi2) * sin2((lambda2 - lambda1) / 2::DOUBLE);
CREATE OR REPLACE MACRO dist_mm(lat1, lon1, lat2, lon2) AS CAST(round(2::DOUBLE * 6371008.8::DOUBLE * asin(least(1::DOUBLE,
  sqrt(haversine_a(radians(lat1), radians(lon1), radians(lat2), radians(lon2))))) * 1000::DOUBLE) AS BIGINT);

-- The greatest multiple of a step that is not above a time (`//` and `%` round towards zero).
CREATE OR REPLACE MACRO floor_to(t, step) AS t - (t % step + step) % step;
-- The start of the window of so many minutes that a time is in.
CREATE OR REPLACE MACRO window_us(t, minutes) AS floor_to(t, minutes::BIGINT * 60000000);

-- Nearest rank in a sorted list: the ceil(p * n / 100)-th value; null of nothing.
CREATE OR REPLACE MACRO nearest_rank(sorted, p) AS sorted[(p * len(sorted) + 99) // 100];

-- Bands of latitude, 0.02 degrees = 2.2 km each: what is within 1,500 m is in the same one or in a neighbour.
CREATE OR REPLACE MACRO band(lat) AS CAST(floor(lat * 50::DOUBLE) AS INTEGER);

-- The lives of incidents: the statuses of one, cut greedily into stretches of less than 24 h from the first of each.
CREATE OR REPLACE MACRO lives() AS TABLE
WITH RECURSIVE statuses AS (
  SELECT coalesce(nullif(incident_id, ''), id) AS incident, epoch_us(event_time) AS t, partition, "offset", lat, lon, type, severity,
         status, row_number() OVER (PARTITION BY incident ORDER BY t, partition, "offset") AS n
  FROM raw_emergency WHERE disposition = 'on_time' AND has_incident
),
times AS (  -- the first status of each time
  SELECT incident, t, min(n) AS n FROM statuses GROUP BY ALL
),
following AS (  -- where a life that begins with this status ends: null if it has no successor
  SELECT s.incident, s.n, f.n AS next FROM statuses s ASOF LEFT JOIN times f
    ON s.incident = f.incident AND s.t + 86400000000 <= f.t
),
heads AS (
  SELECT incident, n, next FROM following WHERE n = 1
  UNION ALL
  SELECT f.incident, f.n, f.next FROM heads h JOIN following f ON f.incident = h.incident AND f.n = h.next
),
members AS (
  SELECT h.n AS head, s.* FROM statuses s ASOF JOIN heads h ON s.incident = h.incident AND s.n >= h.n
),
lives AS (
  SELECT incident, head, min(t) AS first_t, max(t) AS last_t, count(*) AS statuses,
         arg_min({lat: lat, lon: lon, partition: partition, "offset": "offset"}, n) AS place,
         arg_max(type, n) FILTER (type <> 'None') AS type, arg_max(severity, n) FILTER (severity IS NOT NULL) AS severity,
         arg_min({t: t, partition: partition, "offset": "offset"}, n) FILTER (status = 'Active') AS active,
         arg_min({t: t, partition: partition, "offset": "offset"}, n) FILTER (status = 'Responding') AS responding,
         arg_min({t: t, partition: partition, "offset": "offset"}, n) FILTER (status = 'Resolved') AS resolved
  FROM members GROUP BY ALL
)
SELECT * FROM lives;

-- The pings within 1,500 m of a life, before and during it. Those before it are of the quarter of an hour before it was active.
CREATE OR REPLACE MACRO passes() AS TABLE
WITH spans AS (  -- the hour from the first Active, cut short by the first Resolved; and the quarter before
  SELECT incident, head, place, place.lat AS lat, place.lon AS lon, active.t AS since,
         least(coalesce(resolved.t, since + 3600000000), since + 3600000000) AS until
  FROM lives() WHERE active IS NOT NULL
),
reach AS (  -- spans by band of latitude and hour
  SELECT s.*, band(lat) + step AS band, hour
  FROM spans s, unnest([-1, 0, 1]) AS b(step),
       unnest(range((since - 900000000) // 3600000000, greatest(since, until) // 3600000000 + 1)) AS h(hour)
),
pings AS (
  SELECT device_id, epoch_us(event_time) AS t, speed_kmh, lat, lon FROM raw_gps WHERE disposition = 'on_time'
)
SELECT r.incident, r.head, r.place, p.device_id, p.t, p.speed_kmh, p.t >= r.since AS during,
       dist_mm(p.lat, p.lon, r.lat, r.lon) AS mm
FROM pings p JOIN reach r ON band(p.lat) = r.band AND p.t // 3600000000 = r.hour
 AND p.t >= r.since - 900000000 AND p.t < greatest(r.since, r.until)
WHERE mm <= 1500000;
