# A machine as a cloud provider's Debian image is before its first boot. With DOCKER it has the packages of the
# deployment already, for boots that are not about installing them.
ARG MACHINE
FROM ${MACHINE}
ARG DOCKER=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends cloud-init e2fsprogs openssh-server openssl ca-certificates ${DOCKER} \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*_key* /var/lib/docker/* \
    && printf 'datasource_list: [NoCloud]\nnetwork: {config: disabled}\n' > /etc/cloud/cloud.cfg.d/99-test.cfg
# Providers take minutes to attach a disk; nobody waits for that here.
RUN mkdir -p /etc/systemd/system.conf.d \
    && printf '[Manager]\nDefaultEnvironment=OPENCODE_CLOUD_DISK_SECONDS=5 OPENCODE_CLOUD_HEALTH_SECONDS=90\n' \
        > /etc/systemd/system.conf.d/short.conf
