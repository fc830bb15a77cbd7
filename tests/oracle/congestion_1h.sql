-- One row a cell (resolution 8) and hour of event time that has a ping with a speed ratio.
-- Reads raw_gps, raw_traffic; cells (cell, lat, lon) are the centres.
WITH latest AS (
  SELECT *, epoch_us(event_time) AS t FROM raw_traffic WHERE disposition = 'on_time'
  QUALIFY row_number() OVER (PARTITION BY h3_8, t ORDER BY partition DESC, "offset" DESC) = 1
),
pings AS (  -- a match older than 10 minutes is none
  SELECT p.h3_8, p.device_id, window_us(p.t, 60) AS w, r.current_speed_kmh AS speed, r.free_flow_speed_kmh AS free_flow
  FROM (SELECT *, epoch_us(event_time) AS t FROM raw_gps WHERE disposition = 'on_time') p
  ASOF JOIN latest r ON p.h3_8 = r.h3_8 AND p.t >= r.t
  WHERE p.t - r.t <= 600000000 AND r.current_speed_kmh IS NOT NULL AND r.free_flow_speed_kmh IS NOT NULL
),
indexed AS (
  SELECT *, CASE WHEN speed > 0 THEN least(free_flow / speed, 100::DOUBLE) END AS tti FROM pings
),
hours AS (
  SELECT h3_8, w, count(*) AS pings, count(DISTINCT device_id) AS vehicles,
         mean_of(sum(q(tti)), count(tti)) AS mean,
         list(CAST(floor(100::DOUBLE * tti) AS INTEGER) ORDER BY tti) FILTER (tti IS NOT NULL) AS hundredths,
         count(*) FILTER (speed / free_flow < 0.9::DOUBLE) AS congested_pings
  FROM indexed GROUP BY ALL
)
SELECT
  h3_8 || '/' || w AS row_key, h3_8, make_timestamptz(w) AS window_start, c.lat, c.lon, pings, vehicles,
  mean AS travel_time_index_mean,
  nearest_rank(hundredths, 80)::DOUBLE / 100::DOUBLE AS travel_time_index_p80,
  nearest_rank(hundredths, 95)::DOUBLE / 100::DOUBLE AS planning_time_index,
  (nearest_rank(hundredths, 95)::DOUBLE / 100::DOUBLE - mean) / mean AS buffer_index,
  congested_pings, congested_pings::DOUBLE / pings::DOUBLE AS congested_share
FROM hours
LEFT JOIN cells c ON c.cell = h3_8
