-- One row an on-time ping: what traffic, weather and incidents were known of its time and place.
-- Reads raw_gps, raw_traffic, raw_weather, raw_emergency.
WITH pings AS (
  SELECT *, epoch_us(event_time) AS t FROM raw_gps WHERE disposition = 'on_time'
),
traffic AS (  -- of equal times in a cell the greater (partition, offset)
  SELECT *, epoch_us(event_time) AS t FROM raw_traffic WHERE disposition = 'on_time'
  QUALIFY row_number() OVER (PARTITION BY h3_8, event_time ORDER BY partition DESC, "offset" DESC) = 1
),
weather AS (
  SELECT *, epoch_us(event_time) AS t FROM raw_weather WHERE disposition = 'on_time'
  QUALIFY row_number() OVER (PARTITION BY h3_5, event_time ORDER BY partition DESC, "offset" DESC) = 1
),
traffic_match AS (  -- the latest at or before the ping, then: not too old
  SELECT p.partition AS ping_partition, p."offset" AS ping_offset, p.t - r.t AS age,
         dist_mm(p.lat, p.lon, r.lat, r.lon) AS mm, r.*
  FROM pings p ASOF JOIN traffic r ON p.h3_8 = r.h3_8 AND p.t >= r.t
  WHERE p.t - r.t <= 600000000
),
weather_match AS (
  SELECT p.partition AS ping_partition, p."offset" AS ping_offset, p.t - r.t AS age,
         dist_mm(p.lat, p.lon, r.lat, r.lon) AS mm, r.*
  FROM pings p ASOF JOIN weather r ON p.h3_5 = r.h3_5 AND p.t >= r.t
  WHERE p.t - r.t <= 1800000000
),
statuses AS (  -- a status holds until the incident's next one, at most 6 h, both ends included
  SELECT coalesce(nullif(incident_id, ''), id) AS incident, epoch_us(event_time) AS t, partition, "offset", lat, lon, status, source,
         least(coalesce(lead(t) OVER (PARTITION BY incident ORDER BY t, partition, "offset") - 1, t + 21600000000),
               t + 21600000000) AS until
  FROM raw_emergency WHERE disposition = 'on_time' AND has_incident
),
reach AS (  -- active statuses by band of latitude and hour
  SELECT s.*, band(lat) + step AS band, hour
  FROM statuses s, unnest([-1, 0, 1]) AS b(step), unnest(range(t // 3600000000, until // 3600000000 + 1)) AS h(hour)
  WHERE status IN ('Active', 'Responding') AND t <= until
),
near AS (
  SELECT p.partition AS ping_partition, p."offset" AS ping_offset, p.t - r.t AS age,
         dist_mm(p.lat, p.lon, r.lat, r.lon) AS mm, r.*
  FROM pings p JOIN reach r
    ON band(p.lat) = r.band AND p.t // 3600000000 = r.hour AND p.t BETWEEN r.t AND r.until
  WHERE mm <= 1500000
),
incident_match AS (
  SELECT ping_partition, ping_offset, count(*) AS active,
         arg_min({incident: incident, partition: partition, "offset": "offset", age: age, mm: mm, source: source},
                 {mm: mm, t: -t, partition: -partition, "offset": -"offset"}) AS nearest
  FROM near GROUP BY ALL
)
SELECT
  p.partition || '/' || p."offset" AS row_key,
  p.event_time, p.device_id AS vehicle_id, p.partition, p."offset", p.lat, p.lon, p.speed_kmh, p.h3_8, p.h3_5,
  r.partition AS traffic_partition, r."offset" AS traffic_offset, r.age / 1e6::DOUBLE AS traffic_age_s,
  r.mm / 1000::DOUBLE AS traffic_distance_m, r.source AS traffic_source, r.traffic_level,
  r.current_speed_kmh / r.free_flow_speed_kmh AS speed_ratio,
  r.free_flow_speed_kmh / nullif(r.current_speed_kmh, 0::DOUBLE) AS travel_time_index,
  r.current_speed_kmh / r.free_flow_speed_kmh < 0.9::DOUBLE AS congested,
  w.partition AS weather_partition, w."offset" AS weather_offset, w.age / 1e6::DOUBLE AS weather_age_s,
  w.mm / 1000::DOUBLE AS weather_distance_m, w.source AS weather_source, w.weather_condition, w.precipitation_mm,
  coalesce(i.active, 0)::INTEGER AS active_incidents,
  i.nearest.incident AS incident_id, i.nearest.partition AS incident_partition, i.nearest."offset" AS incident_offset,
  i.nearest.age / 1e6::DOUBLE AS incident_age_s, i.nearest.mm / 1000::DOUBLE AS incident_distance_m,
  i.nearest.source AS incident_source
FROM pings p
LEFT JOIN traffic_match r ON r.ping_partition = p.partition AND r.ping_offset = p."offset"
LEFT JOIN weather_match w ON w.ping_partition = p.partition AND w.ping_offset = p."offset"
LEFT JOIN incident_match i ON i.ping_partition = p.partition AND i.ping_offset = p."offset"
