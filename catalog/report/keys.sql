-- SPDX-License-Identifier: Apache-2.0
, used AS (
	SELECT signer, count(*) AS points, min(received_ns) AS first, max(received_ns) AS last
	FROM points WHERE received_ns <= :as_of GROUP BY signer)
SELECT CASE s.name WHEN 'admin' THEN 'admin' ELSE 'signer' END AS role, s.name,
       CASE WHEN s.revoked_ns <= :as_of THEN 'revoked' WHEN s.name = 'admin' THEN 'in use'
            WHEN u.points IS NULL THEN 'unused'
            WHEN :as_of - u.first > :target_s * 1000000000 THEN 'old' ELSE 'in use' END AS state,
       u.first, u.last, (:as_of - u.first) / 1000000 AS age_ms, coalesce(u.points, 0) AS points,
       CASE WHEN s.revoked_ns <= :as_of THEN s.revoked_ns END AS ended, s.signer AS key
FROM signers s LEFT JOIN used u ON u.signer = s.signer
UNION ALL
SELECT 'recipient', r.name, CASE WHEN r.gone_ns <= :as_of THEN 'removed'
                                 WHEN :as_of - r.seen_ns > :target_s * 1000000000 THEN 'old' ELSE 'in use' END,
       r.seen_ns, NULL, (:as_of - r.seen_ns) / 1000000, NULL, CASE WHEN r.gone_ns <= :as_of THEN r.gone_ns END,
       r.recipient
FROM recipients r WHERE r.seen_ns <= :as_of
ORDER BY 1, 2, 9
