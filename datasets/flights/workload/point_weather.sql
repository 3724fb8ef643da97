SELECT temp, humid, wind_speed, wind_gust, precip, visib
FROM weather
WHERE origin = $1 AND time_hour = $2;
