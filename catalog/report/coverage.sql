-- SPDX-License-Identifier: Apache-2.0
SELECT n.volume, n.cluster, n.namespace,
       CASE WHEN n.session IS NULL THEN 'exposed'
            WHEN :as_of - n.frozen_ns > :target_s * 1000000000 THEN 'late' ELSE 'protected' END AS state,
       CASE WHEN n.session IS NOT NULL AND :as_of - n.frozen_ns > :target_s * 1000000000
            THEN 'the newest point is older than the target'
            WHEN n.session IS NOT NULL THEN NULL
            WHEN NOT EXISTS (SELECT 1 FROM points p WHERE p.voltag = n.vol AND p.received_ns <= :as_of)
            THEN 'there was no point yet'
            WHEN EXISTS (SELECT 1 FROM points p WHERE p.voltag = n.vol AND p.expired_ns <= :as_of)
            THEN 'all points are expired or lost' ELSE 'all points are lost or revoked' END AS reason,
       (SELECT count(*) FROM alive a WHERE a.voltag = n.vol) AS points,
       n.frozen_ns AS newest, (:as_of - n.frozen_ns) / 1000000 AS age_ms,
       (:as_of - g.frozen_ns) / 1000000 AS geo_age_ms, v.frozen_ns AS verified, p.began_ns AS tested,
       n.consistency, n.session
FROM newest n
JOIN geo g ON g.vol = n.vol
JOIN verified v ON v.vol = n.vol
LEFT JOIN proved p ON p.volume = n.volume
ORDER BY CASE WHEN n.session IS NULL THEN 0 WHEN :as_of - n.frozen_ns > :target_s * 1000000000 THEN 1 ELSE 2 END,
         n.volume, n.vol
