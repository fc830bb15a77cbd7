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
