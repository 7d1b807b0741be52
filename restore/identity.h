/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the service account of movers has an identity that works: a token of the account is asked
 * for, as the kubelet would, and exchanged at Entra, as a mover would. A federated credential of
 * the secondary's issuer is what is forgotten most often.
 */
#ifndef AKSDR_RESTORE_IDENTITY_H
#define AKSDR_RESTORE_IDENTITY_H

#include "common/cancel.h"
#include "kube/kube.h"
#include "restore/finding.h"

/*
 * Tries it; what does not work is a finding. An account without the annotation
 * azure.workload.identity/client-id has nothing to try. The tenant is the account's annotation, or
 * AZURE_TENANT_ID; who gives tokens: AZURE_AUTHORITY_HOST, or Azure's.
 *   ERR_NOMEM, ERR_CANCELLED, ERR_RETRY (the API server)
 */
MUST_CHECK int identity_try(struct kube *k, const char *ns, const char *account,
                            const struct cancel *cancel, struct findings *l, struct err *e);

#endif
