-- SPDX-License-Identifier: Apache-2.0
, made AS (
	SELECT voltag, count(*) AS points, sum(unreadable = 0 AND changed = 0 AND hooks_failed = 0) AS whole,
	       sum(unreadable > 0 OR changed > 0 OR hooks_failed > 0) AS partly,
	       sum(unreadable) AS unreadable, sum(changed) AS changed, sum(hooks_failed) AS hooks_failed,
	       sum(finished_ns - started_ns) / count(*) / 1000000 AS took_ms,
	       max(finished_ns - started_ns) / 1000000 AS longest_ms
	FROM pts WHERE received_ns >= :from AND received_ns < :to GROUP BY voltag),
stopped AS (
	SELECT voltag, count(*) AS n FROM fenced
	WHERE received_ns >= :from AND received_ns < :to AND received_ns <= :as_of GROUP BY voltag)
SELECT s.volume,
       CASE WHEN m.points IS NULL THEN 'none' WHEN m.partly > 0 THEN 'partly' WHEN f.n > 0 THEN 'fenced' ELSE 'ok'
            END AS state,
       coalesce(m.points, 0) AS points, coalesce(m.whole, 0) AS whole, coalesce(m.partly, 0) AS partly,
       coalesce(f.n, 0) AS fenced,
       CASE WHEN coalesce(m.points, 0) + coalesce(f.n, 0) > 0
            THEN printf('%.2f', 100.0 * coalesce(m.whole, 0) / (coalesce(m.points, 0) + coalesce(f.n, 0)))
            END AS whole_percent,
       m.unreadable, m.changed, m.hooks_failed, m.took_ms, m.longest_ms
FROM sel s
LEFT JOIN made m ON m.voltag = s.voltag
LEFT JOIN stopped f ON f.voltag = s.voltag
ORDER BY CASE WHEN m.points IS NULL THEN -1.0 ELSE 1.0 * m.whole / (m.points + coalesce(f.n, 0)) END, s.volume, s.voltag
