# A machine that one reaches by SSH, from packages of its distribution alone: `bare`, or with Docker.
ARG MACHINE
FROM ${MACHINE} AS bare
RUN apt-get update \
    && apt-get install -y --no-install-recommends openssh-server curl ca-certificates \
    && rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*_key* \
    && mkdir -p /etc/systemd/system/ssh.service.d \
    && printf '[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\n' > /etc/systemd/system/ssh.service.d/keys.conf \
    && systemctl enable ssh

FROM bare
# Old Debians have the command in docker.io.
ARG DOCKER="docker.io docker-cli"
# Besides Docker, what Debian has for a rootless one.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ${DOCKER} iptables dbus-user-session rootlesskit uidmap slirp4netns \
    && rm -rf /var/lib/apt/lists/* /var/lib/docker/* \
    && usermod --append --groups docker ada \
    && systemctl enable docker
