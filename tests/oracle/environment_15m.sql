-- One row a cell (resolution 5) and 15 minutes of event time that has a weather record, or a ping in rain or in the dry.
-- Reads raw_gps, raw_weather; cells (cell, lat, lon) are the centres.
WITH weather AS (
  SELECT *, epoch_us(event_time) AS t FROM raw_weather WHERE disposition = 'on_time'
),
latest AS (
  SELECT *, coalesce(weather_condition IN ('Rain', 'Drizzle', 'Thunderstorm'), false)
            OR coalesce(precipitation_mm > 0, false) AS rain,
         NOT rain AND weather_condition IS DISTINCT FROM 'Snow' AS dry
  FROM weather QUALIFY row_number() OVER (PARTITION BY h3_5, t ORDER BY partition DESC, "offset" DESC) = 1
),
of_pings AS (
  SELECT p.h3_5, window_us(p.t, 15) AS w,
         count(*) FILTER (rain) AS pings_rain, mean_of(sum(q(speed_kmh)) FILTER (rain), pings_rain) AS speed_rain_kmh,
         count(*) FILTER (dry) AS pings_dry, mean_of(sum(q(speed_kmh)) FILTER (dry), pings_dry) AS speed_dry_kmh
  FROM (SELECT *, epoch_us(event_time) AS t FROM raw_gps WHERE disposition = 'on_time' AND speed_kmh IS NOT NULL) p
  ASOF JOIN latest r ON p.h3_5 = r.h3_5 AND p.t >= r.t
  WHERE p.t - r.t <= 1800000000 AND (rain OR dry)
  GROUP BY ALL
),
of_records AS (
  SELECT h3_5, window_us(t, 15) AS w, count(*) AS weather_records,
    mean_of(sum(q(temperature_c)), count(temperature_c)) AS temperature_c_mean,
    min(q(temperature_c)) / 1e6::DOUBLE AS temperature_c_min, max(q(temperature_c)) / 1e6::DOUBLE AS temperature_c_max,
    mean_of(sum(q(precipitation_mm)), count(precipitation_mm)) AS precipitation_mm_mean,
    min(q(precipitation_mm)) / 1e6::DOUBLE AS precipitation_mm_min,
    max(q(precipitation_mm)) / 1e6::DOUBLE AS precipitation_mm_max,
    mean_of(sum(q(wind_speed_ms)), count(wind_speed_ms)) AS wind_speed_ms_mean,
    min(q(wind_speed_ms)) / 1e6::DOUBLE AS wind_speed_ms_min, max(q(wind_speed_ms)) / 1e6::DOUBLE AS wind_speed_ms_max,
    mean_of(sum(q(humidity_pct)), count(humidity_pct)) AS humidity_pct_mean,
    min(q(humidity_pct)) / 1e6::DOUBLE AS humidity_pct_min, max(q(humidity_pct)) / 1e6::DOUBLE AS humidity_pct_max,
    mean_of(sum(q(air_quality_index)), count(air_quality_index)) AS air_quality_index_mean,
    min(q(air_quality_index)) / 1e6::DOUBLE AS air_quality_index_min,
    max(q(air_quality_index)) / 1e6::DOUBLE AS air_quality_index_max,
    mean_of(sum(q(pressure_hpa)), count(pressure_hpa)) AS pressure_hpa_mean,
    min(q(pressure_hpa)) / 1e6::DOUBLE AS pressure_hpa_min, max(q(pressure_hpa)) / 1e6::DOUBLE AS pressure_hpa_max,
    mean_of(sum(q(visibility_m)), count(visibility_m)) AS visibility_m_mean,
    min(q(visibility_m)) / 1e6::DOUBLE AS visibility_m_min, max(q(visibility_m)) / 1e6::DOUBLE AS visibility_m_max
  FROM weather GROUP BY ALL
)
SELECT
  h3_5 || '/' || w AS row_key, h3_5, make_timestamptz(w) AS window_start, c.lat, c.lon,
  coalesce(r.weather_records, 0) AS weather_records, r.* EXCLUDE (h3_5, w, weather_records),
  coalesce(pings_rain, 0) AS pings_rain, speed_rain_kmh, coalesce(pings_dry, 0) AS pings_dry, speed_dry_kmh
FROM of_records r FULL JOIN of_pings USING (h3_5, w)
LEFT JOIN cells c ON c.cell = h3_5
