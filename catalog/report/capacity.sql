-- SPDX-License-Identifier: Apache-2.0
, sizes AS (
	SELECT n.cluster, n.namespace, count(*) AS volumes, sum(n.bytes_logical) AS logical
	FROM newest n GROUP BY 1, 2),
sums AS (
	SELECT voltag, count(*) AS points, sum(bytes_logical) AS all_logical, sum(bytes_new) AS new,
	       sum(bytes_stored) AS stored,
	       sum(CASE WHEN received_ns >= :from AND received_ns < :to THEN bytes_stored ELSE 0 END) AS added
	FROM alive GROUP BY voltag),
held AS (
	SELECT s.cluster, s.namespace, sum(p.points) AS points, sum(p.all_logical) AS all_logical, sum(p.new) AS new,
	       sum(p.stored) AS stored, sum(p.added) AS added
	FROM sums p JOIN sel s ON s.voltag = p.voltag GROUP BY 1, 2)
SELECT z.cluster, z.namespace, z.volumes, coalesce(h.points, 0) AS points, coalesce(z.logical, 0) AS bytes_logical,
       coalesce(h.all_logical, 0) AS bytes_points, coalesce(h.new, 0) AS bytes_new,
       coalesce(h.stored, 0) AS bytes_stored,
       CASE WHEN h.stored > 0 THEN printf('%.2f', 1.0 * h.all_logical / h.stored) END AS ratio,
       CASE WHEN h.stored > 0 THEN printf('%.2f', 1.0 * h.new / h.stored) END AS compression,
       coalesce(h.added, 0) AS bytes_added,
       CAST(coalesce(h.added, 0) / max(1.0, (:to - :from) / 86400000000000.0) AS INTEGER) AS bytes_added_day
FROM sizes z LEFT JOIN held h ON h.cluster = z.cluster AND h.namespace = z.namespace
ORDER BY coalesce(h.stored, 0) DESC, z.cluster, z.namespace
