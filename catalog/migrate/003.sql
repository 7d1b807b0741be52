-- SPDX-License-Identifier: Apache-2.0
--
-- Version 3: points that are in the store and do not count any more, since their key was revoked, are told from
-- those that were lost.

DROP VIEW v_points;

ALTER TABLE points ADD COLUMN revoked_ns INTEGER; -- when this was seen; NULL: it counts. gone_at_ns is set too

-- All restore points with their volume, times as text as well. state: 'present'; 'proposed', 'held' or
-- 'expired' and in the store; 'deleted' after it was expired; 'revoked'; 'lost'.
CREATE VIEW v_points AS
SELECT p.point, p.session, v.volume, v.cluster, v.namespace, v.name, p.kind, p.volume_uid, p.domain, p.set_id,
       p.sequence, p.previous_session, p.previous_hash,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.frozen_ns / 1000000000, 'unixepoch') AS frozen,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.received_ns / 1000000000, 'unixepoch') AS received,
       p.consistency, p.driver, p.files, p.directories, p.others,
       p.bytes_logical, p.bytes_read, p.bytes_new, p.bytes_stored,
       p.unreadable, p.changed, p.vanished,
       CASE WHEN p.gone_at_ns IS NULL THEN coalesce(p.expiry, 'present')
            WHEN p.expired_ns IS NOT NULL THEN 'deleted'
            WHEN p.revoked_ns IS NOT NULL THEN 'revoked' ELSE 'lost' END AS state,
       strftime('%Y-%m-%dT%H:%M:%SZ', p.expired_ns / 1000000000, 'unixepoch') AS expired,
       (SELECT max(c.started_ns) FROM checks c
        WHERE c.level >= 3 AND c.all_packs AND c.problems = 0 AND c.started_ns > p.received_ns) AS verified_ns,
       p.host, p.agent, p.epoch, p.signer, s.name AS signer_name, p.hash,
       p.started_ns, p.frozen_ns, p.finished_ns, p.received_ns, p.expired_ns, p.gone_at_ns, p.ended_ns, p.revoked_ns,
       p.root_id, p.root_pack, p.root_offset, p.root_stored, p.root_plain, p.root_counter,
       p.root_key, p.root_compression, p.levels, p.voltag
FROM points p
JOIN volumes v ON v.voltag = p.voltag
LEFT JOIN signers s ON s.signer = p.signer;
