-- SPDX-License-Identifier: Apache-2.0
SELECT s.volume,
       CASE WHEN t.run IS NULL THEN 'never'
            WHEN x.damaged THEN 'damaged' WHEN NOT x.restored THEN 'failed' WHEN NOT x.verified THEN 'not read back'
            WHEN :as_of - p.began_ns > :target_s * 1000000000 THEN 'old' ELSE 'verified' END AS state,
       t.began_ns AS last, p.began_ns AS verified, (:as_of - p.began_ns) / 1000000 AS age_ms, d.plan, x.point,
       x.frozen_ns AS frozen, x.ms AS took_ms, d.rto_ms, d.rto_target_s * 1000 AS rto_target_ms, x.why, t.run,
       p.run AS verified_run
FROM sel s
LEFT JOIN tried t ON t.volume = s.volume
LEFT JOIN drills d ON d.run = t.run
LEFT JOIN drill_volumes x ON x.run = t.run AND x.n = t.n
LEFT JOIN proved p ON p.volume = s.volume
ORDER BY p.began_ns IS NOT NULL, p.began_ns, s.volume, s.voltag
