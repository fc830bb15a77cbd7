-- One row a vehicle and 15 minutes of event time that has a ping or a vehicle record.
-- Reads raw_gps, raw_vehicle. What joins two records belongs to the later one's window.
WITH pings AS (
  SELECT device_id AS vehicle_id, epoch_us(event_time) AS t, speed_kmh,
         t - lag(t) OVER vehicle AS dt,
         dist_mm(lag(lat) OVER vehicle, lag(lon) OVER vehicle, lat, lon) AS mm,
         q(speed_kmh) - q(lag(speed_kmh) OVER vehicle) AS dv
  FROM raw_gps WHERE disposition = 'on_time'
  WINDOW vehicle AS (PARTITION BY device_id ORDER BY event_time, partition, "offset")
),
of_pings AS (
  SELECT vehicle_id, window_us(t, 15) AS w, count(*) AS pings,
         count(*) FILTER (step) AS steps,
         coalesce(sum(mm) FILTER (step AND mm * 3600 <= 250 * dt), 0) AS mm,
         coalesce(sum(dt) FILTER (step AND moving), 0) AS moving,
         coalesce(sum(dt) FILTER (step AND NOT moving), 0) AS idle,
         count(*) FILTER (sharp) AS sharp,
         count(*) FILTER (sharp AND 10 * dv >= 108 * dt) AS accel,
         count(*) FILTER (sharp AND 10 * dv <= -126 * dt) AS brake
  FROM (SELECT *, coalesce(dt > 0 AND dt <= 300000000, false) AS step, coalesce(speed_kmh >= 5, false) AS moving,
               step AND dt <= 3000000 AND dv IS NOT NULL AS sharp FROM pings)
  GROUP BY ALL
),
records AS (
  SELECT device_id AS vehicle_id, epoch_us(event_time) AS t, t - lag(t) OVER vehicle <= 300000000 AS pair,
         q(lag(fuel_level_pct) OVER vehicle) - q(fuel_level_pct) AS drop,
         q(odometer_km) - q(lag(odometer_km) OVER vehicle) AS gain
  FROM raw_vehicle WHERE disposition = 'on_time'
  WINDOW vehicle AS (PARTITION BY device_id ORDER BY event_time, partition, "offset")
),
of_records AS (
  SELECT vehicle_id, window_us(t, 15) AS w, count(*) AS vehicle_records,
         sum(greatest(0, drop)) FILTER (pair AND drop IS NOT NULL) / 1e6::DOUBLE AS fuel_used_pct,
         sum(greatest(0, gain)) FILTER (pair AND gain IS NOT NULL) / 1e6::DOUBLE AS odometer_gain_km
  FROM records GROUP BY ALL
)
SELECT
  vehicle_id || '/' || w AS row_key, vehicle_id, make_timestamptz(w) AS window_start,
  coalesce(pings, 0) AS pings, coalesce(vehicle_records, 0) AS vehicle_records, coalesce(steps, 0) AS steps,
  coalesce(mm, 0) / 1000::DOUBLE AS distance_m,
  coalesce(moving, 0) / 1e6::DOUBLE AS moving_s, coalesce(idle, 0) / 1e6::DOUBLE AS idle_s,
  CASE WHEN sharp > 0 THEN accel END::INTEGER AS harsh_accel, CASE WHEN sharp > 0 THEN brake END::INTEGER AS harsh_brake,
  fuel_used_pct, odometer_gain_km
FROM of_pings FULL JOIN of_records USING (vehicle_id, w)
