-- SPDX-License-Identifier: Apache-2.0
, held AS (
	SELECT s.cluster, s.namespace, count(*) AS points, sum(p.bytes_stored) AS stored,
	       sum(CASE WHEN p.received_ns >= :from AND p.received_ns < :to THEN p.bytes_stored ELSE 0 END) AS added
	FROM sel s JOIN points p ON p.voltag = s.voltag
	WHERE p.received_ns <= :as_of AND (p.ended_ns IS NULL OR p.ended_ns > :as_of) GROUP BY 1, 2)
SELECT cluster, namespace, points, stored AS bytes_stored, added AS bytes_added,
       printf('%.2f', stored / 1073741824.0 * :price_gib_month * :copies) AS month,
       printf('%.2f', stored / 1073741824.0 * :price_gib_month * :copies * 12) AS year,
       printf('%.2f', stored / 1073741824.0 * :price_read_gib) AS restore,
       :currency AS currency
FROM held ORDER BY stored DESC, cluster, namespace
