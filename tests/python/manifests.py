"""Holds the manifests against their schemas and against each other, and tells what they would run, for a test to run it.

manifests.py kubernetes FILE           Kubernetes' own schemas
manifests.py compose FILE DOCKERFILE   FILE: the compose file as its loader prints it, as JSON
manifests.py systemd FILE              a unit
manifests.py pinned FILE...            images and actions are named by digest

Prints a list of programs, a pod, service or unit each: their arguments, variables, files, probes, how long an end may take
and with which code. Ends with 1 at the first thing that is wrong.
"""

import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

# The oldest that has all that is used, and the newest that there is a schema of.
VERSIONS = ["1.31", kubernetes_validate.latest_version()]
# Exit codes that no restart mends, and the time in which a run that is asked to end has ended.
FOR_GOOD, DRAINED_WITHIN = [2, 3, 5, 6], 10
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "g": 2**30}


def size(text):
    """Bytes: 512MiB, 4Gi, 3g."""
    number, unit = re.fullmatch(r"([\d.]+)(\w*?)B?", str(text)).groups()
    return float(number) * UNITS[unit]


def same(what, values):
    assert len(set(values)) == 1, f"{what} differ: {values}"


def kubernetes(path):
    """The pods of the job."""
    documents = [document for document in yaml.safe_load_all(pathlib.Path(path).read_text()) if document]
    for document in documents:
        for version in VERSIONS:
            kubernetes_validate.validate(document, version, strict=True)
    named = {(document["kind"], document["metadata"]["name"]): document for document in documents}
    one = {document["kind"]: document for document in documents}
    job, service, budget = one["Job"]["spec"], one["Service"], one["PodDisruptionBudget"]["spec"]
    name, pod = one["Job"]["metadata"]["name"], job["template"]["spec"]
    [container] = pod["containers"]
    maps = {key[1]: value["data"] for key, value in named.items() if key[0] == "ConfigMap"}
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    hosts = maps["citystream-hosts"]["hosts"].split()

    processes = int(variables["CITYSTREAM_PROCESSES"])
    same("numbers of processes", [processes, job["completions"], job["parallelism"], budget["minAvailable"], len(hosts)])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert hosts == [f"{name}-{n}.{pod['subdomain']}:{ports['cluster']}" for n in range(processes)], hosts
    assert service["metadata"]["name"] == pod["subdomain"] and service["spec"]["clusterIP"] == "None", service
    assert service["spec"]["publishNotReadyAddresses"], "the processes meet before they are ready"
    selected = {"batch.kubernetes.io/job-name": name}
    assert service["spec"]["selector"] == budget["selector"]["matchLabels"] == selected, "selectors"
    assert {port["name"]: port["port"] for port in service["spec"]["ports"]} == ports, service

    stopped = container["args"][container["args"].index("--stopped-code") + 1]
    check_ends(job, container["name"], int(stopped))
    check_confined(pod, container)
    limit = size(container["resources"]["limits"]["memory"])
    bounds = [size(variables[f"CITYSTREAM_{which}"]) for which in ("MEMORY", "STATE_MEMORY")]
    assert sum(bounds) <= 0.8 * limit, f"{bounds} leave nothing of {limit}"

    volumes = {volume["name"]: volume["projected"]["sources"] for volume in pod["volumes"]}
    files = {}
    for mount in container["volumeMounts"]:
        for source in volumes[mount["name"]]:
            data = maps[source["configMap"]["name"]] if "configMap" in source else {"secret": "of at least sixteen bytes"}
            files |= {f"{mount['mountPath']}/{file}": text for file, text in data.items()}
    for source in container["envFrom"]:
        variables = maps.get(source.get("configMapRef", {}).get("name"), {}) | variables
    probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    probes = [{"path": probe["path"], "port": ports[probe["port"]]} for probe in probes]
    for index in range(processes):
        given = variables | {"JOB_COMPLETION_INDEX": str(index)}
        args = [re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], arg) for arg in container["args"]]
        yield program(f"{name}-{index}.{pod['subdomain']}", args, given, files, probes, pod["terminationGracePeriodSeconds"], int(stopped))


def check_ends(job, container, stopped):
    """Which ends of a pod end the job, and which do not count."""
    rules = [(rule["action"], rule["onExitCodes"]) for rule in job["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    codes = {action: rule["values"] for action, rule in rules if rule == rule | {"containerName": container, "operator": "In"}}
    assert codes == {"FailJob": FOR_GOOD, "Ignore": [stopped]}, codes
    assert stopped not in [0, *FOR_GOOD], "a pod that ends with 0 is never replaced"
    assert job["completionMode"] == "Indexed" and job["podReplacementPolicy"] == "Failed", job
    assert job["template"]["spec"]["restartPolicy"] == "Never", "the rules above are for pods that end"


def check_confined(pod, container):
    """Neither root, nor a disk to write to, nor variables of others."""
    confined = container["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and confined["readOnlyRootFilesystem"], confined
    assert confined["capabilities"] == {"drop": ["ALL"]} and confined["allowPrivilegeEscalation"] is False, confined
    assert pod["enableServiceLinks"] is False and pod["automountServiceAccountToken"] is False, pod


def compose(path, dockerfile):
    """The services that launch processes."""
    document = json.loads(pathlib.Path(path).read_text())
    launched = {name: service for name, service in document["services"].items() if (service.get("command") or [""])[0] == "launch"}
    hosts = pathlib.Path(document["configs"]["hosts"]["file"]).read_text()
    names = re.findall(r"^(\S+):\d+$", hosts, re.MULTILINE)
    same("processes", [tuple(names), tuple(launched)])
    health = json.loads(re.search(r"^HEALTHCHECK.* CMD (\[.*?\])$", pathlib.Path(dockerfile).read_text().replace("\\\n", ""), re.M)[1])
    for index, (name, service) in enumerate(launched.items()):
        variables = service["environment"]
        assert int(variables["CITYSTREAM_PROCESSES"]) == len(names) and service["command"] == ["launch", "-p", str(index)], service
        assert service["read_only"] and service["cap_drop"] == ["ALL"] and "mem_limit" in service, service
        assert service["security_opt"] == ["no-new-privileges:true"] and service["restart"] == "no", service
        assert not service.get("healthcheck"), "the image's is its own"
        [config] = service["configs"]
        files = {config.get("target", f"/{config['source']}"): hosts}
        grace = int(service["stop_grace_period"].removesuffix("s"))
        yield program(name, service["command"], variables, files, [{"command": health}], grace, 0)


def systemd(path):
    """What the unit runs."""
    unit = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", pathlib.Path(path).read_text(), re.MULTILINE):
        unit.setdefault(key, []).append(value)
    [start], [codes] = unit["ExecStart"], unit["RestartPreventExitStatus"]
    assert list(map(int, codes.split())) == FOR_GOOD and unit["Restart"] == ["always"], codes
    assert unit["KillMode"] == ["mixed"] and unit["OOMPolicy"] == ["continue"], unit
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == ["yes"] and unit["ProtectSystem"] == ["strict"], unit
    [credential] = unit["LoadCredential"]
    variables = dict(pair.split("=", 1) for pair in unit["Environment"])
    command = start.split()
    assert command[0] == "/usr/local/bin/citystream", command
    # The file of the settings is the one that docs/deploy.md shows.
    documented = (pathlib.Path(__file__).parents[2] / "docs/deploy.md").read_text()
    [settings] = re.findall(r"```toml\n# (\S+)\n(.*?)```", documented, re.S)
    [hosts] = re.findall(r"```\n# (\S+)\n(.*?)```", documented, re.S)
    files = dict([settings, hosts]) | {f"%d/{credential.split(':')[0]}": "of at least sixteen bytes"}
    assert settings[0] in command, (settings[0], command)
    yield program("", command[1:], variables, files, [], int(unit["TimeoutStopSec"][0]), 0)


def program(name, args, variables, files, probes, grace, code):
    assert grace >= 2 * DRAINED_WITHIN, f"{grace} s are too few for {DRAINED_WITHIN} s, and what a busy machine adds"
    return {"name": name, "args": args, "variables": variables, "files": files, "probes": probes, "grace": grace, "code": code}


def pinned(*paths):
    """Nothing: what is named there is named by digest, but for what is built here or named by who installs."""
    for path in paths:
        text = pathlib.Path(path).read_text()
        names = re.findall(r"^(?:FROM| *(?:- )?(?:image|uses):) (\S+)(?: #| AS|$)", text, re.MULTILINE)
        assert names, f"{path} names neither an image nor an action"
        for name in names:
            ours = name == "citystream" or name.startswith("registry.example/")
            assert ours or re.search(r"@(sha256:[0-9a-f]{64}|[0-9a-f]{40})$", name), f"{path}: {name} has no digest"
    return []


print(json.dumps(list({"kubernetes": kubernetes, "compose": compose, "systemd": systemd, "pinned": pinned}[sys.argv[1]](*sys.argv[2:]))))
