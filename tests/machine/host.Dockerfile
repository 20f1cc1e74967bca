# A machine that one reaches by SSH and that has Docker, from packages of its distribution alone.
ARG MACHINE
FROM ${MACHINE}
RUN apt-get update \
    && apt-get install -y --no-install-recommends openssh-server docker.io docker-cli iptables curl ca-certificates \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*_key* /var/lib/docker/* \
    && usermod --append --groups docker ada \
    && mkdir -p /etc/systemd/system/ssh.service.d \
    && printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n' > /etc/systemd/system/ssh.service.d/keys.conf \
    && systemctl enable ssh docker
