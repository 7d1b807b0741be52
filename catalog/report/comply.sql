-- SPDX-License-Identifier: Apache-2.0
--
-- What rules are judged by: one row a volume (catalog/comply.c).
, worst AS (SELECT voltag, max(to_ns - frozen_ns) AS ns FROM spans GROUP BY voltag),
kept AS (SELECT voltag, count(*) AS points, min(frozen_ns) AS oldest_ns FROM alive GROUP BY voltag)
SELECT n.volume, n.cluster, n.namespace, n.name, n.session, n.point, n.consistency, n.frozen_ns, w.ns AS worst_ns,
       g.frozen_ns AS geo_frozen_ns, EXISTS (SELECT 1 FROM cuts WHERE observed_ns <= :as_of) AS geo_known,
       v.frozen_ns AS verified_frozen_ns, (SELECT c.ns FROM checked c) AS checked_ns,
       (SELECT k.run FROM checks k WHERE k.started_ns = (SELECT c.ns FROM checked c) ORDER BY k.id LIMIT 1)
               AS check_run,
       p.began_ns AS tested_ns, p.run AS drill_run, coalesce(k.points, 0) AS points, k.oldest_ns,
       (SELECT c.signatures FROM configs c WHERE c.received_ns <= :as_of AND c.signatures IS NOT NULL
        ORDER BY c.revision DESC LIMIT 1) AS signatures,
       (SELECT min(x.received_ns) FROM points x WHERE x.signer = n.signer) AS key_ns, n.signer, n.vol,
       (SELECT max(l.observed_ns) FROM lock_looks l WHERE l.all_points AND l.observed_ns <= :as_of) AS looked_ns
FROM newest n
JOIN geo g ON g.vol = n.vol
JOIN verified v ON v.vol = n.vol
LEFT JOIN worst w ON w.voltag = n.vol
LEFT JOIN kept k ON k.voltag = n.vol
LEFT JOIN proved p ON p.volume = n.volume
ORDER BY n.volume, n.vol
