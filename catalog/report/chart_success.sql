-- SPDX-License-Identifier: Apache-2.0
-- Points a day that came.
SELECT d.from_ns, (SELECT count(*) FROM pts p WHERE p.received_ns >= max(d.from_ns, :from)
                   AND p.received_ns < min(d.from_ns + 86400000000000, :to))
FROM days d ORDER BY d.from_ns
