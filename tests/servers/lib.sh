# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Real object stores for tests. Sourced; each server listens on a loopback port of its own, keeps its
# data in a new directory below TMPDIR, has random credentials, and ends with the shell that started it.
#
#   need_server azurite seaweed versity sdk     skips the test (77) when one is not installed
#   start_azurite [NAME] [tls]   sets azurite_endpoint (http://127.0.0.1:PORT/acct1), azurite_port, azurite_url
#   start_versity [NAME]         sets s3_endpoint, s3_url
#   start_seaweed [NAME]         the same; ${AWS_ACCESS_KEY_ID}R with the same secret may only read and list
#   make_container ENDPOINT NAME; make_bucket ENDPOINT NAME [lock]
#                                one more; from the start there is `data`, and with S3 `locked`, a
#                                bucket with versions and object lock
#   start_geo [tls] [KEY=VALUE...]    two Azurites, `first` and `second`, and a proxy before them (proxy.py, the KEYs
#                                are its settings); sets azurite_url with both endpoints, first_endpoint,
#                                second_endpoint; with `tls` both are behind TLS, and the URL ends with the CA
#   start_proxy A-PORT [KEY=VALUE...]     a proxy before one server; both set proxy_primary, proxy_control
#   proxy METHOD TARGET          a command to the proxy: proxy POST '/set?lag_ms=100'
#   start_answer STATUS CODE [SECONDS]    a blob service with one answer (answer.py); sets answer_url
#   start_tokens ASSERTION LOG EXPIRES_IN [ERROR]    who gives tokens (tokens.py); sets AZURE_AUTHORITY_HOST
#   start_tire REQUESTS          tokens.py before the Azurite that has TLS: 401 for tokens used so often; sets tire_url
#   start_registry NAME [basic|token]     a registry of images (docker-registry), open to all, or to reader:secret
#                                alone; sets registry_host. Started again under its name it has its images again
#   push_image HOST NAME FILE    an archive of docker's kind into one that is open; prints the digest
#   stop_server NAME             ends one (SIGKILL); the proxy is called proxy
#   servers_client VERB ...      tests/servers/client.py
#
# NAME tells servers of one test apart and defaults to azurite, versity, seaweed; a server that is
# started again under its name has its data again (Azurite: its port, too).
# azurite_url and s3_url are what our programs take; the settings that go with them are exported:
# AZURE_STORAGE_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; all servers of one test have the same. With
# `tls` the URL has the CA in it, the file is $servers_ca, and bearer tokens are accepted, whoever signed
# them (`servers_client token`).

servers_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
declare -A servers_dir=() servers_pid=() servers_port=()
while read -r servers_name servers_path; do
	servers_dir[$servers_name]=$servers_path
done < <("$servers_here/install" --print)
unset servers_name servers_path

# Debian's interpreter: another python3 may come first on PATH and be older.
servers_python=/usr/bin/python3
# shellcheck disable=SC2034 # for those who source this
sdk_python=${servers_dir[sdk]}/bin/python
servers=$(mktemp -d "${TMPDIR:-/tmp}/aksdr-servers.XXXXXX") || exit 1
AZURE_STORAGE_KEY=$(head -c 64 /dev/urandom | base64 -w 0)
AWS_ACCESS_KEY_ID=AK$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
AWS_SECRET_ACCESS_KEY=$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n')
AWS_REGION=us-east-1
export AZURE_STORAGE_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION
# Loopback is never reached by a proxy.
export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost

servers_clean() {
	local name
	for name in "${!servers_pid[@]}"; do stop_server "$name"; done
	rm -rf --one-file-system "$servers"
}
# Whatever is to be done at the exit of the test already comes first.
eval "servers_before=($(trap -p EXIT))"
# shellcheck disable=SC2064,SC2154 # what is known now; eval made it
trap "${servers_before[2]:+${servers_before[2]}; }servers_clean" EXIT

servers_client() { "$servers_python" "$servers_here/client.py" "$@"; }

need_server() {
	local name
	for name; do
		[ ! -e "${servers_dir[$name]}/complete" ] || continue
		echo "$name is not installed: scripts/bootstrap does it"
		exit 77
	done
}

# servers_spawn NAME COMMAND...: in the background; the kernel ends it when this shell is gone
servers_spawn() {
	local name=$1
	shift
	setpriv --pdeathsig KILL "$@" </dev/null >"$servers/$name.log" 2>&1 &
	servers_pid[$name]=$!
}

stop_server() {
	[ -n "${servers_pid[$1]:-}" ] || return 0
	kill -KILL "${servers_pid[$1]}" 2>/dev/null
	wait "${servers_pid[$1]}" 2>/dev/null
	unset "servers_pid[$1]"
}

# servers_failed NAME
servers_failed() {
	echo "$1 did not start:"
	tail -n 20 "$servers/$1.log"
	exit 1
}

# servers_on_ports COUNT FUNCTION NAME: FUNCTION PORT... starts NAME and sets s3_endpoint. A port may
# be taken between its choice and its use; then the server ends, and others are tried.
servers_on_ports() {
	local try ports
	for try in 1 2 3 4 5; do
		read -ra ports < <(servers_client ports "$1")
		"$2" "${ports[@]}"
		servers_client wait s3 "$s3_endpoint" "${servers_pid[$3]}" && return
		kill -0 "${servers_pid[$3]}" 2>/dev/null && break
	done
	echo "$try tries"
	servers_failed "$3"
}

make_container() { servers_client make azure "$@" || exit 1; }
make_bucket() { servers_client make s3 "$@" || exit 1; }

# A CA of the test's own, and a certificate for 127.0.0.1, and for what $servers_names has (IP:10.0.0.1,DNS:x).
servers_certificates() {
	[ ! -e "$servers/server.pem" ] || return 0
	(
		cd "$servers" || exit
		local names=IP:127.0.0.1,DNS:localhost${servers_names:+,$servers_names}
		new=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
		openssl req -x509 "${new[@]}" -days 2 -subj '/CN=CA of a test' -keyout ca.key -out ca.pem &&
			openssl req "${new[@]}" -subj '/CN=127.0.0.1' -keyout server.key -out server.csr &&
			openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -out server.pem \
				-extfile <(echo "subjectAltName=$names")
	) >"$servers/openssl.log" 2>&1 || { cat "$servers/openssl.log" && exit 1; }
}

start_azurite() {
	local name=${1:-azurite} scheme=http more=() line=''
	need_server azurite
	if [ "${2:-}" = tls ]; then
		servers_certificates
		scheme=https
		more=(--oauth basic --cert "$servers/server.pem" --key "$servers/server.key")
		export servers_ca=$servers/ca.pem SERVERS_CA=$servers/ca.pem
	fi
	mkdir -p "$servers/$name.data"
	AZURITE_ACCOUNTS=acct1:$AZURE_STORAGE_KEY servers_spawn "$name" "${servers_dir[azurite]}/node" \
		"${servers_dir[azurite]}/node_modules/azurite/dist/src/blob/main.js" --disableTelemetry --silent \
		--blobHost 127.0.0.1 --blobPort "${servers_port[$name]:-0}" --location "$servers/$name.data" \
		${more[@]+"${more[@]}"}
	# It says which port the kernel gave it.
	line=$("$servers_python" - "$servers/$name.log" "${servers_pid[$name]}" <<'P'
import os, re, sys, time
log, pid = sys.argv[1], int(sys.argv[2])
end = time.monotonic() + 120
while time.monotonic() < end and os.path.exists(f"/proc/{pid}"):
    with open(log, encoding="utf-8", errors="replace") as f:
        found = re.search(r"successfully listens on https?://127\.0\.0\.1:(\d+)", f.read())
    if found:
        print(found.group(1))
        break
    time.sleep(0.05)
P
	)
	[ -n "$line" ] || servers_failed "$name"
	azurite_port=$line servers_port[$name]=$line
	azurite_endpoint=$scheme://127.0.0.1:$azurite_port/acct1
	servers_client wait azure "$azurite_endpoint" "${servers_pid[$name]}" || servers_failed "$name"
	if [ ! -e "$servers/$name.made" ]; then
		make_container "$azurite_endpoint" data
		: >"$servers/$name.made"
	fi
	azurite_url="azure://acct1/data?endpoint=$azurite_endpoint"
	[ "$scheme" = http ] || azurite_url+="&ca=$servers_ca"
}

# servers_buckets NAME: once
servers_buckets() {
	if [ ! -e "$servers/$1.made" ]; then
		make_bucket "$s3_endpoint" data
		make_bucket "$s3_endpoint" locked lock
		: >"$servers/$1.made"
	fi
	# shellcheck disable=SC2034 # for those who source this
	s3_url="s3://data?endpoint=$s3_endpoint"
}

start_versity() {
	local name=${1:-versity} data
	need_server versity
	data=$servers/$name.data
	mkdir -p "$data/root" "$data/versions"
	versity_on() {
		s3_endpoint=http://127.0.0.1:$1
		ROOT_ACCESS_KEY=$AWS_ACCESS_KEY_ID ROOT_SECRET_KEY=$AWS_SECRET_ACCESS_KEY \
			servers_spawn "$name" "${servers_dir[versity]}/versitygw" --quiet --keep-alive \
			--port "127.0.0.1:$1" posix --versioning-dir "$data/versions" "$data/root"
	}
	servers_on_ports 1 versity_on "$name"
	servers_buckets "$name"
}

start_seaweed() {
	local name=${1:-seaweed} data
	need_server seaweed
	data=$servers/$name.data
	mkdir -p "$data"
	cat >"$data/s3.json" <<-JSON
		{"identities": [{"name": "test", "actions": ["Admin", "Read", "Write", "List", "Tagging"],
		"credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]},
		{"name": "reader", "actions": ["Read", "List"],
		"credentials": [{"accessKey": "${AWS_ACCESS_KEY_ID}R", "secretKey": "$AWS_SECRET_ACCESS_KEY"}]}]}
	JSON
	seaweed_on() {
		s3_endpoint=http://127.0.0.1:$1
		HOME=$data servers_spawn "$name" "${servers_dir[seaweed]}/bin/weed" -logtostderr server \
			-ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$data" -volume.max=0 \
			-master.telemetry=false -master.volumeSizeLimitMB=512 \
			-master.port="$2" -master.port.grpc="$3" -volume.port="$4" -volume.port.grpc="$5" \
			-filer.port="$6" -filer.port.grpc="$7" -filer.localSocket="$data/filer.sock" \
			-s3 -s3.config="$data/s3.json" -s3.port="$1" -s3.port.grpc="$8" \
			-s3.port.iceberg=0 -s3.port.lance=0 -s3.localSocket="$data/s3.sock"
	}
	servers_on_ports 8 seaweed_on "$name"
	servers_buckets "$name"
}

# servers_proxy ARGUMENT...: sets proxy_primary, proxy_secondary, proxy_control
servers_proxy() {
	local name port
	proxy_primary='' proxy_secondary='' proxy_control=''
	: >"$servers/proxy.log"
	mkfifo "$servers/proxy.ports"
	servers_spawn proxy bash -c 'exec "$@" >"$0"' "$servers/proxy.ports" "$servers_python" \
		"$servers_here/proxy.py" "$@"
	while read -r name port; do
		printf -v "proxy_$name" %s "$port"
		[ "$name" != control ] || break
	done <"$servers/proxy.ports"
	rm "$servers/proxy.ports"
	[ -n "$proxy_control" ] || servers_failed proxy
}

start_proxy() { servers_proxy --a "127.0.0.1:$1" "${@:2}"; }

proxy() { servers_client control "$proxy_control" "$@"; }

# servers_print NAME PROGRAM ARGUMENT...: starts it anew; what it prints comes by $answer_fd, and first a port,
# which it sets answer_port to
servers_print() {
	local name=$1
	shift
	stop_server "$name"
	answer_port=
	mkfifo "$servers/$name.fifo"
	servers_spawn "$name" bash -c 'exec "$@" >"$0"' "$servers/$name.fifo" "$servers_python" \
		"$servers_here/$1" "${@:2}"
	exec {answer_fd}<"$servers/$name.fifo"
	rm "$servers/$name.fifo"
	read -r answer_port <&"$answer_fd"
	[ -n "$answer_port" ] || servers_failed "$name"
}

start_geo() {
	local a scheme=http
	[ "${1:-}" != tls ] || { scheme=https && shift; }
	start_azurite first
	# shellcheck disable=SC2034 # for those who source this
	first_endpoint=$azurite_endpoint a=$azurite_port
	start_azurite second
	# shellcheck disable=SC2034
	second_endpoint=$azurite_endpoint
	servers_proxy --a "127.0.0.1:$a" --b "127.0.0.1:$azurite_port" "$@"
	local primary=$proxy_primary secondary=$proxy_secondary
	if [ $scheme = https ]; then
		servers_certificates
		export servers_ca=$servers/ca.pem SERVERS_CA=$servers/ca.pem
		start_tls tls-primary "$primary" && primary=$answer_port
		start_tls tls-secondary "$secondary" && secondary=$answer_port
	fi
	azurite_endpoint=$scheme://127.0.0.1:$primary/acct1
	azurite_secondary=$scheme://127.0.0.1:$secondary/acct1-secondary
	azurite_url="azure://acct1/data?endpoint=$azurite_endpoint&secondary=$azurite_secondary"
	[ $scheme = http ] || azurite_url+="&ca=$servers_ca"
}

# start_tls NAME PORT: TLS before a port, at answer_port
start_tls() { servers_print "$1" tls.py "$servers/server.pem" "$servers/server.key" "127.0.0.1:$2"; }

start_answer() {
	servers_print answer answer.py "$@"
	# shellcheck disable=SC2034 # for those who source this
	answer_url="azure://acct1/data?endpoint=http://127.0.0.1:$answer_port/acct1"
}

start_tokens() {
	servers_certificates
	servers_print tokens tokens.py give "$servers/server.pem" "$servers/server.key" "$@"
	export AZURE_AUTHORITY_HOST=https://127.0.0.1:$answer_port/
}

start_tire() {
	servers_print tire tokens.py tire "$servers/server.pem" "$servers/server.key" "$servers_ca" \
		"127.0.0.1:$azurite_port" "$1"
	# shellcheck disable=SC2034
	tire_url="azure://acct1/data?endpoint=https://127.0.0.1:$answer_port/acct1&ca=$servers_ca"
}

# registry_answers PORT NAME: until it does
registry_answers() {
	local try
	for try in {1..200}; do
		curl -s -o "$servers/$2.hello" "http://127.0.0.1:$1/v2/" && return
		kill -0 "${servers_pid[$2]}" 2>/dev/null || return
		sleep 0.05 # lint: allow sleep: it asks again
	done
	return "$try"
}

start_registry() {
	local name=$1 kind=${2:-open} port try
	command -v docker-registry >/dev/null ||
		{ echo 'docker-registry is not installed: scripts/bootstrap' && exit 77; }
	mkdir -p "$servers/$name.images"
	servers_certificates
	[ "$kind" != token ] || servers_print registry-tokens registry.py "$servers/server.pem" "$servers/server.key"
	for try in 1 2 3 4 5; do
		port=$(servers_client ports 1)
		{
			printf '%s\n' 'version: 0.1' 'log: {level: warn}' "http: {addr: '127.0.0.1:$port'}" \
				"storage: {filesystem: {rootdirectory: '$servers/$name.images'}}"
			case $kind in
			basic)
				# The hash of `secret` by bcrypt, which is the only kind that the registry takes.
				# shellcheck disable=SC2016 # dollars of a hash
				echo 'reader:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a' \
					>"$servers/$name.users"
				echo "auth: {htpasswd: {realm: test, path: '$servers/$name.users'}}"
				;;
			token)
				printf '%s\n' auth: '  token:' "    realm: http://127.0.0.1:$answer_port/token" \
					'    service: registry of a test' '    issuer: test' \
					"    rootcertbundle: '$servers/ca.pem'"
				;;
			esac
		} >"$servers/$name.yaml"
		servers_spawn "$name" docker-registry serve "$servers/$name.yaml"
		registry_answers "$port" "$name" && break
		[ "$try" -lt 5 ] || servers_failed "$name"
	done
	# shellcheck disable=SC2034 # for those who source this
	registry_host=127.0.0.1:$port
}

push_image() {
	skopeo --insecure-policy copy --quiet --dest-tls-verify=false "docker-archive:$3" "docker://$1/$2" >&2 || exit 1
	skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$1/$2"
}
