# A machine as a cloud provider's Debian image is before its first boot. With DOCKER it has the packages of the
# deployment already, for boots that are not about installing them.
ARG MACHINE
# Google's has no cloud-init.
FROM ${MACHINE} AS google
ARG DOCKER=""
RUN apt-get update \
    && apt-get install -y --no-install-recommends e2fsprogs openssh-server openssl ca-certificates curl python3 ${DOCKER} \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*_key* /var/lib/docker/*
# Providers take minutes to attach a disk; nobody waits for that here.
RUN mkdir -p /etc/systemd/system.conf.d \
    && printf '[Manager]\nDefaultEnvironment=OPENCODE_CLOUD_DISK_SECONDS=5 OPENCODE_CLOUD_HEALTH_SECONDS=90\n' \
        > /etc/systemd/system.conf.d/short.conf

# What a provider has beside the machines: addresses by DHCP.
FROM google AS service
RUN apt-get update \
    && apt-get install -y --no-install-recommends dnsmasq-base \
    && rm -rf /var/lib/apt/lists/*

FROM google
RUN apt-get update \
    && apt-get install -y --no-install-recommends cloud-init \
    && rm -rf /var/lib/apt/lists/* \
    && printf 'datasource_list: [NoCloud]\nnetwork: {config: disabled}\n' > /etc/cloud/cloud.cfg.d/99-test.cfg
