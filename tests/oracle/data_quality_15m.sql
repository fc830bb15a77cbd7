-- One row a topic and 15 minutes of log time: what came, what became of it, and how late it was.
-- Reads all raw tables and dead_letters. The window is that of the partition's log clock at the record: the greatest log time
-- up to it. What was missed has no quality_window.
WITH read AS (
  SELECT topic, partition, "offset", log_time, event_time, disposition, NULL AS reason, quality_window FROM raw_vehicle
  UNION ALL SELECT topic, partition, "offset", log_time, event_time, disposition, NULL, quality_window FROM raw_gps
  UNION ALL SELECT topic, partition, "offset", log_time, event_time, disposition, NULL, quality_window FROM raw_traffic
  UNION ALL SELECT topic, partition, "offset", log_time, event_time, disposition, NULL, quality_window FROM raw_weather
  UNION ALL SELECT topic, partition, "offset", log_time, event_time, disposition, NULL, quality_window FROM raw_emergency
  UNION ALL SELECT topic, partition, "offset", log_time, NULL, NULL, reason, quality_window FROM dead_letters
),
counted AS (
  SELECT *, window_us(epoch_us(max(log_time) OVER (PARTITION BY topic, partition ORDER BY "offset")), 15) AS w FROM read
  QUALIFY quality_window IS NOT NULL
),
of_rows AS (
  SELECT topic, w, count(*) AS rows,
         count(*) FILTER (disposition = 'on_time') AS on_time, count(*) FILTER (disposition = 'late') AS late,
         count(*) FILTER (disposition = 'expired') AS expired, count(*) FILTER (disposition = 'duplicate') AS duplicate,
         list(delay ORDER BY delay) AS delays
  FROM (SELECT *, floor_to(epoch_us(log_time) - epoch_us(event_time) + 500000, 1000000) // 1000000 AS seconds,
               greatest(-86400, least(86400, seconds))::INTEGER AS delay FROM counted WHERE reason IS NULL)
  GROUP BY topic, w
),
of_dead AS (
  SELECT topic, w, count(*) AS dead_letters,
         count(*) FILTER (reason = 'null_payload') AS dead_null_payload,
         count(*) FILTER (reason = 'too_long') AS dead_too_long,
         count(*) FILTER (reason = 'confluent_format') AS dead_confluent_format,
         count(*) FILTER (reason = 'invalid_utf8') AS dead_invalid_utf8,
         count(*) FILTER (reason = 'not_json') AS dead_not_json,
         count(*) FILTER (reason = 'wrong_type') AS dead_wrong_type,
         count(*) FILTER (reason = 'missing_field') AS dead_missing_field,
         count(*) FILTER (reason = 'bad_number') AS dead_bad_number,
         count(*) FILTER (reason = 'bad_time') AS dead_bad_time,
         count(*) FILTER (reason = 'ahead') AS dead_ahead,
         count(*) FILTER (reason = 'bad_position') AS dead_bad_position,
         count(*) FILTER (reason = 'bad_log_time') AS dead_bad_log_time
  FROM counted WHERE reason IS NOT NULL
  GROUP BY ALL
)
SELECT
  topic || '/' || w AS row_key, topic, make_timestamptz(w) AS window_start,
  coalesce(rows, 0) + coalesce(dead_letters, 0) AS records, coalesce(on_time, 0) AS on_time, coalesce(late, 0) AS late,
  coalesce(expired, 0) AS expired, coalesce(duplicate, 0) AS duplicate, coalesce(dead_letters, 0) AS dead_letters,
  coalesce(COLUMNS(lambda c: c LIKE 'dead\_%' ESCAPE '\' AND c <> 'dead_letters'), 0),
  nearest_rank(delays, 50) AS delay_p50_s, nearest_rank(delays, 99) AS delay_p99_s, list_max(delays) AS delay_max_s
FROM of_rows FULL JOIN of_dead USING (topic, w)
