-- One row a life of an incident.
WITH exposure AS (
  SELECT incident, head, count(DISTINCT device_id) FILTER (during) AS vehicles,
         count(*) FILTER (during) AS pings_during, count(*) FILTER (NOT during) AS pings_before,
         mean_of(sum(q(speed_kmh)) FILTER (during), count(speed_kmh) FILTER (during)) AS speed_during_kmh,
         mean_of(sum(q(speed_kmh)) FILTER (NOT during), count(speed_kmh) FILTER (NOT during)) AS speed_before_kmh
  FROM passes() GROUP BY ALL
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
FROM lives() l LEFT JOIN exposure e USING (incident, head)
