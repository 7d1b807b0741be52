-- SPDX-License-Identifier: Apache-2.0
, all_of AS (
	SELECT voltag, count(*) AS points, min(frozen_ns) AS first FROM pts GROUP BY voltag)
SELECT n.volume, n.cluster, n.namespace, n.name, CASE WHEN n.session IS NULL THEN 'gone' ELSE 'present' END AS state,
       n.kind, n.driver, n.consistency, n.domain, n.bytes_logical, n.files, coalesce(a.points, 0) AS points, a.first,
       n.frozen_ns AS newest, n.host, n.agent, n.volume_uid
FROM newest n
LEFT JOIN all_of a ON a.voltag = n.vol
ORDER BY n.volume, n.vol
