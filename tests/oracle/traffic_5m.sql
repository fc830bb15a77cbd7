-- One row a cell (resolution 8) and 5 minutes of event time that has a ping or a traffic record.
-- Reads raw_gps, raw_traffic; cells (cell, lat, lon) are the centres.
WITH traffic AS (
  SELECT *, epoch_us(event_time) AS t FROM raw_traffic WHERE disposition = 'on_time'
),
latest AS (
  SELECT * FROM traffic QUALIFY row_number() OVER (PARTITION BY h3_8, t ORDER BY partition DESC, "offset" DESC) = 1
),
pings AS (  -- a match older than 10 minutes is none
  SELECT p.h3_8, p.device_id, p.speed_kmh, window_us(p.t, 5) AS w, coalesce(p.t - r.t <= 600000000, false) AS matched,
         CASE WHEN matched THEN r.current_speed_kmh / r.free_flow_speed_kmh END AS ratio
  FROM (SELECT *, epoch_us(event_time) AS t FROM raw_gps WHERE disposition = 'on_time') p
  ASOF LEFT JOIN latest r ON p.h3_8 = r.h3_8 AND p.t >= r.t
),
of_pings AS (
  SELECT h3_8, w, count(*) AS pings, count(DISTINCT device_id) AS vehicles, count(*) FILTER (matched) AS pings_with_traffic,
         mean_of(sum(q(speed_kmh)), count(speed_kmh)) AS speed_mean_kmh,
         count(*) FILTER (speed_kmh >= 1) AS flowing,
         sum(q(CASE WHEN speed_kmh >= 1 THEN 1::DOUBLE / speed_kmh END)) AS slowness,
         list(floor(speed_kmh)::INTEGER ORDER BY speed_kmh) FILTER (speed_kmh IS NOT NULL) AS speeds,
         mean_of(sum(q(ratio)), count(ratio)) AS speed_ratio_mean, min(q(ratio)) / 1e6::DOUBLE AS speed_ratio_min,
         count(*) FILTER (ratio < 0.9::DOUBLE) AS congested_pings
  FROM pings GROUP BY ALL
),
of_records AS (
  SELECT h3_8, window_us(t, 5) AS w, count(*) AS traffic_records, count(*) FILTER (road_closure) AS closures,
         count(*) FILTER (traffic_level = 'LIGHT') AS light, count(*) FILTER (traffic_level = 'MODERATE') AS moderate,
         count(*) FILTER (traffic_level = 'HEAVY') AS heavy, count(*) FILTER (source = 'live') AS live,
         count(*) FILTER (source = 'cached') AS cached, count(*) FILTER (source = 'synthetic') AS synthetic
  FROM traffic GROUP BY ALL
)
SELECT
  h3_8 || '/' || w AS row_key, h3_8, make_timestamptz(w) AS window_start, c.lat, c.lon,
  coalesce(pings, 0) AS pings, coalesce(vehicles, 0) AS vehicles, coalesce(pings_with_traffic, 0) AS pings_with_traffic,
  speed_mean_kmh,
  CASE WHEN flowing > 0 THEN flowing::DOUBLE * 1e6::DOUBLE / slowness::DOUBLE END AS speed_harmonic_kmh,
  nearest_rank(speeds, 50) AS speed_p50_kmh, nearest_rank(speeds, 85) AS speed_p85_kmh,
  nearest_rank(speeds, 95) AS speed_p95_kmh,
  speed_ratio_mean, speed_ratio_min, coalesce(congested_pings, 0) AS congested_pings,
  coalesce(traffic_records, 0) AS traffic_records, coalesce(closures, 0) AS closures,
  coalesce(light, 0) AS light, coalesce(moderate, 0) AS moderate, coalesce(heavy, 0) AS heavy,
  coalesce(live, 0) AS live, coalesce(cached, 0) AS cached, coalesce(synthetic, 0) AS synthetic
FROM of_pings FULL JOIN of_records USING (h3_8, w)
LEFT JOIN cells c ON c.cell = h3_8
