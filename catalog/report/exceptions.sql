-- SPDX-License-Identifier: Apache-2.0
, now_points AS (SELECT * FROM newest WHERE session IS NOT NULL),
found(kind, state, volume, object, since, detail) AS (
	SELECT a.kind, 'bad', coalesce(v.volume, ''), a.object, a.found_ns, a.detail
	FROM anomalies a LEFT JOIN sel v ON v.voltag = a.voltag
	WHERE a.found_ns <= :as_of AND (a.resolved_ns IS NULL OR a.resolved_ns > :as_of)
	  AND (v.voltag IS NOT NULL OR (:cluster IS NULL AND :namespace IS NULL AND :volume IS NULL))
	UNION ALL
	SELECT 'incomplete', 'bad', s.volume, p.session, p.incomplete_ns,
		'something that the point names is not in the store'
	FROM points p JOIN sel s ON s.voltag = p.voltag AND p.received_ns <= :as_of
	WHERE p.incomplete_ns <= :as_of AND (p.expired_ns IS NULL OR p.expired_ns > :as_of)
	  AND (p.gone_at_ns IS NULL OR p.gone_at_ns > :as_of)
	UNION ALL
	SELECT 'unreadable entries', 'bad', volume, session, frozen_ns, unreadable || ' entries could not be read'
	FROM now_points WHERE unreadable > 0
	UNION ALL
	SELECT 'torn entries', 'warn', volume, session, frozen_ns,
		changed || ' entries kept changing while they were read'
	FROM now_points WHERE changed > 0
	UNION ALL
	SELECT 'fuzzy', 'warn', volume, session, frozen_ns, 'files may be torn: the volume was not frozen'
	FROM now_points WHERE consistency = 'fuzzy'
	UNION ALL
	SELECT 'fallback', 'warn', volume, session, frozen_ns, fallback FROM now_points WHERE fallback IS NOT NULL
	UNION ALL
	SELECT 'hooks failed', 'bad', volume, session, frozen_ns,
		hooks_failed || ' of ' || hooks_run || ' commands failed'
	FROM now_points WHERE hooks_failed > 0
	UNION ALL
	SELECT 'wrong changes', 'bad', volume, session, frozen_ns,
	       bytes_wrong || ' bytes had changed that the driver said had not'
	FROM now_points WHERE bytes_wrong > 0
	UNION ALL
	SELECT 'check', 'bad', '', coalesce(c.run, 'check ' || c.id), c.started_ns,
	       c.problems || ' problems, ' || c.hurt_points || ' restore points hurt'
	FROM checks c WHERE c.problems > 0 AND c.finished_ns <= :as_of
	  AND NOT EXISTS (SELECT 1 FROM checks k WHERE k.started_ns > c.started_ns AND k.finished_ns <= :as_of
	                  AND k.level >= c.level AND k.all_packs AND k.problems = 0)
	UNION ALL
	SELECT 'drill', 'bad', '', d.run, d.began_ns, d.plan || ': ' || coalesce(d.why, '')
	FROM drills d WHERE NOT d.passed AND d.ended_ns <= :as_of
	  AND NOT EXISTS (SELECT 1 FROM drills k WHERE k.plan = d.plan AND k.began_ns > d.began_ns AND k.passed
	                  AND k.ended_ns <= :as_of)
	UNION ALL
	SELECT 'run not ended', 'warn', '', r.run, r.began_ns, r.kind || ' of ' || r.plan
	FROM v_runs r WHERE r.began_ns <= :as_of AND (r.ended_ns IS NULL OR r.ended_ns > :as_of)
	UNION ALL
	SELECT 'second region', 'warn', '', 'cut ' || c.id, c.observed_ns,
		'nothing is known of it: ' || coalesce(c.status, '')
	FROM cuts c WHERE c.kind = 'unknown' AND c.id = (SELECT max(id) FROM cuts WHERE observed_ns <= :as_of)
	UNION ALL
	SELECT 'not locked', 'warn', '', 'look ' || l.id, l.observed_ns,
		(l.points - l.locked - l.over) || ' points, or parts of them, can be deleted before their time'
	FROM lock_looks l WHERE l.points > l.locked + l.over
	  AND l.id = (SELECT max(id) FROM lock_looks WHERE all_points AND observed_ns <= :as_of))
SELECT kind, state, volume, object, since, detail FROM found ORDER BY state, kind, volume, since, object
