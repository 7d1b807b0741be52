-- SPDX-License-Identifier: Apache-2.0
, sums AS (
	SELECT voltag, count(*) AS points, sum(bytes_stored) AS stored,
	       sum(CASE WHEN received_ns >= :from AND received_ns < :to THEN bytes_stored ELSE 0 END) AS added
	FROM alive GROUP BY voltag),
held AS (
	SELECT s.cluster, s.namespace, sum(p.points) AS points, sum(p.stored) AS stored, sum(p.added) AS added
	FROM sums p JOIN sel s ON s.voltag = p.voltag GROUP BY 1, 2)
SELECT cluster, namespace, points, stored AS bytes_stored, added AS bytes_added,
       printf('%.2f', stored / 1073741824.0 * :price_gib_month * :copies) AS month,
       printf('%.2f', stored / 1073741824.0 * :price_gib_month * :copies * 12) AS year,
       printf('%.2f', stored / 1073741824.0 * :price_read_gib) AS restore,
       :currency AS currency
FROM held ORDER BY stored DESC, cluster, namespace
