-- SPDX-License-Identifier: Apache-2.0
SELECT t.received_ns AS received, coalesce(s.volume, '') AS volume, p.point,
       CASE WHEN p.session IS NULL THEN 'unknown point' WHEN p.expired_ns > :as_of THEN 'expired later'
            WHEN p.gone_at_ns <= :as_of
            THEN CASE WHEN p.expired_ns IS NOT NULL THEN 'deleted' WHEN p.revoked_ns IS NOT NULL THEN 'revoked'
                      ELSE 'lost' END
            ELSE coalesce(p.expiry, 'none') END AS state,
       x.why, t.policy, t.user, t.host, k.name AS signer,
       (SELECT count(DISTINCT b.signer) FROM tombstone_points a JOIN tombstones b ON b.number = a.number
        WHERE a.session = x.session AND b.received_ns <= :as_of) AS signers,
       p.frozen_ns AS frozen, p.gone_at_ns AS gone, t.number AS tombstone, x.session
FROM tombstones t
JOIN tombstone_points x ON x.number = t.number
LEFT JOIN points p ON p.session = x.session
LEFT JOIN sel s ON s.voltag = p.voltag
LEFT JOIN signers k ON k.signer = t.signer
WHERE t.received_ns >= :from AND t.received_ns < :to AND t.received_ns <= :as_of
  AND (:policy IS NULL OR t.policy = :policy)
  AND (s.voltag IS NOT NULL OR (:cluster IS NULL AND :namespace IS NULL AND :volume IS NULL))
ORDER BY t.received_ns, t.number, x.session
