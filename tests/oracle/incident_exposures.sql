-- One row a life of an incident and vehicle that passed it.
SELECT
  place.partition || '/' || place."offset" || '/' || device_id AS row_key, incident AS incident_id,
  place.partition AS partition, place."offset" AS "offset", device_id AS vehicle_id,
  make_timestamptz(min(t)) AS first_time, make_timestamptz(max(t)) AS last_time, min(mm) / 1000::DOUBLE AS least_distance_m,
  count(*) AS pings
FROM passes() WHERE during GROUP BY incident, place, device_id
