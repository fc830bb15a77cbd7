-- One row a life of an incident: its statuses, cut greedily into stretches of less than 24 h from the first of each.
-- Reads raw_emergency, raw_gps.
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
),
spans AS (  -- the hour from the first Active, cut short by the first Resolved; and the quarter before
  SELECT incident, head, place.lat AS lat, place.lon AS lon, active.t AS since,
         least(coalesce(resolved.t, since + 3600000000), since + 3600000000) AS until
  FROM lives WHERE active IS NOT NULL
),
reach AS (  -- spans by band of latitude and hour
  SELECT s.*, band(lat) + step AS band, hour
  FROM spans s, unnest([-1, 0, 1]) AS b(step),
       unnest(range((since - 900000000) // 3600000000, greatest(since, until) // 3600000000 + 1)) AS h(hour)
),
pings AS (
  SELECT device_id, epoch_us(event_time) AS t, speed_kmh, lat, lon FROM raw_gps WHERE disposition = 'on_time'
),
circle AS (
  SELECT r.incident, r.head, p.device_id, p.speed_kmh, p.t >= r.since AS during
  FROM pings p JOIN reach r ON band(p.lat) = r.band AND p.t // 3600000000 = r.hour
   AND p.t >= r.since - 900000000 AND p.t < greatest(r.since, r.until)
  WHERE dist_mm(p.lat, p.lon, r.lat, r.lon) <= 1500000
),
exposure AS (
  SELECT incident, head, count(DISTINCT device_id) FILTER (during) AS vehicles,
         count(*) FILTER (during) AS pings_during, count(*) FILTER (NOT during) AS pings_before,
         mean_of(sum(q(speed_kmh)) FILTER (during), count(speed_kmh) FILTER (during)) AS speed_during_kmh,
         mean_of(sum(q(speed_kmh)) FILTER (NOT during), count(speed_kmh) FILTER (NOT during)) AS speed_before_kmh
  FROM circle GROUP BY ALL
)
SELECT
  l.incident || '/' || l.place.partition || '/' || l.place."offset" AS row_key, l.incident AS incident_id,
  make_timestamptz(first_t) AS first_time, make_timestamptz(last_t) AS last_time, statuses,
  l.place.lat AS lat, l.place.lon AS lon, l.place.partition AS partition, l.place."offset" AS "offset", type, severity,
  make_timestamptz(active.t) AS active_time, make_timestamptz(responding.t) AS responding_time,
  make_timestamptz(resolved.t) AS resolved_time,
  active.partition AS active_partition, active."offset" AS active_offset,
  responding.partition AS responding_partition, responding."offset" AS responding_offset,
  resolved.partition AS resolved_partition, resolved."offset" AS resolved_offset,
  CASE WHEN responding.t >= active.t THEN (responding.t - active.t) / 1e6::DOUBLE END AS response_s,
  CASE WHEN resolved.t >= active.t THEN (resolved.t - active.t) / 1e6::DOUBLE END AS clearance_s,
  CASE WHEN active IS NOT NULL THEN coalesce(e.vehicles, 0) END AS exposed_vehicles,
  CASE WHEN active IS NOT NULL THEN coalesce(e.pings_during, 0) END AS pings_during, e.speed_during_kmh,
  CASE WHEN active IS NOT NULL THEN coalesce(e.pings_before, 0) END AS pings_before, e.speed_before_kmh
FROM lives l LEFT JOIN exposure e USING (incident, head)
